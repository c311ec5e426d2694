"""What compare_with_pytorch.py is made of: the two sides, each in processes of its own, and the four parts of the comparison."""
