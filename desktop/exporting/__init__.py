"""Writers of workbooks, and what proves them. No Qt, no network: rows come in, a file comes out or nothing does."""
