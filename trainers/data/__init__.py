"""Where pictures come from, and how training crops are cut from them."""
