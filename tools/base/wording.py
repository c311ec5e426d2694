"""Small texts that many messages have in them."""
SOME = 5  # things that are named of many


def counted(number, noun):
    """A number of things, as people write it: 1 pair, 2 pairs, 1,200 pairs."""
    return f'{number:,} {noun}{"s" * (number != 1)}'


def some(things, between=', '):
    """The first of some different things, as text."""
    texts = list(dict.fromkeys(map(str, things)))
    return between.join(texts[:SOME] + ['…'] * (len(texts) > SOME))
