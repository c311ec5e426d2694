"""Small texts that many messages have in them."""


def counted(number, noun):
    """A number of things, as people write it: 1 pair, 2 pairs, 1,200 pairs."""
    return f'{number:,} {noun}{"s" * (number != 1)}'
