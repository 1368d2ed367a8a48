"""The real `kaggle` client, wrapped: download, the submit loop with its ledger, remote runs."""
