"""The optimisers that there are to choose from: by name, the class with its module. A new
one of Jittor's is an entry here.

No Jittor here, since settings list the names before it is imported.
"""
OPTIMIZERS = {
    'adam': 'tools.training.optimizer.Adam',  # the original's
    'adamw': 'jittor.optim.AdamW',
    'sgd': 'jittor.optim.SGD',
}
