"""The machinery of the combinators: many refs behind one future or iteration."""
