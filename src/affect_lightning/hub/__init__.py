"""Models on a Hugging Face hub: an exported folder with its card goes there, and comes back checked (ours).

`model_card.py` writes the card, `exchange.py` sends and brings back, `fetching.py` fetches and knows the hub's errors.
`affect-lightning push` and `pull` are the commands.
"""
