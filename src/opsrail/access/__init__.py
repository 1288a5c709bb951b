"""Who may come in, and what they may do: users with roles by scope, their sessions, keys of programs.

`keys.py` admits a request or refuses it, by what `directory.py` knows; `roles.py` says what a role may do, `users.py`,
`api_keys.py` and `signing_in.py` change rows and tell the ledger. `addresses.py` says what a loopback address is.
"""
