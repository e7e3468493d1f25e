"""The pack in force: seen at its path, kept, archived, and put there by a person; and the pattern sets beside it."""
