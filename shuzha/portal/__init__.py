"""The pages: each calls services and owns no table. HTML that works without JavaScript, in Chinese and English."""
