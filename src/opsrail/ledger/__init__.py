"""The audit book: every event once, in an order that nobody can change unseen.

chain.py      stage one: entries linked in the transaction of what they speak of
sequencer.py  stage two: one leader gives them places in the Merkle tree and signs its root
anchor.py     the last signed root kept outside the database, to notice one that was rolled back
book.py       verify, prove, export; verifier.py checks an export alone, without opsrail
entries.py, commitment.py  what an entry says, and how it vouches for a record that may be erased later
tree.py, tiles.py, notes.py are pure; reading.py asks the store on their behalf
"""
