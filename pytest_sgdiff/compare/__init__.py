"""Two sides beside each other, without a case: what `sgdiff compare OLD NEW` judges."""
