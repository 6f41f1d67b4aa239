"""What is looked for, and the search: canaries, their forms, and the private keys of clients."""
