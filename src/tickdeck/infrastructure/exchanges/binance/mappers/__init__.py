"""Translation between Binance's messages and ours, one module per subject.

Numbers stay decimal strings until they are ``Decimal``. Unknown fields are ignored.
"""
