"""The AWS environment. boto3 is imported only in here: it comes with `pip install 'shoal[aws]'`."""
