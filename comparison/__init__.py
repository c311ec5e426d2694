"""What compare_with_pytorch.py is made of: the sides, in processes of their own, and the parts of the comparison."""
