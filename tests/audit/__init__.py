"""A checker of money and goods that shares nothing with the program but its golden bytes.

It reads ops as bytes (`tests/golden/decode.py`) and journals of terminals, and judges them by the words of
`docs/reference`. Promises: each finding names an invariant, a stream and a position, and says what is wrong in words; it
holds for ops of several replicas together, branches of forked ones among them.
Absent on purpose: repair, and what ops and journals do not show.
"""
