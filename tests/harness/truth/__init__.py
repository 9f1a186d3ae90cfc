"""The truth test: ways to submit and to wait whose outcomes are known beforehand.

`inside` runs in the kernel and knows what each ref is; `ways` is the table of
cells; `faces` reads what the displays show and compares.
"""
