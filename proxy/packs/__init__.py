"""The pack in force: how its file is watched, kept, archived and replaced; and the pattern sets beside it."""
