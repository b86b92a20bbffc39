"""The laws, by what they are about: each is a function of a case, with a sentence and a hint."""
