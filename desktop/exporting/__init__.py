"""Writers of workbooks and CSV. No Qt, no network: rows come in, a file comes out or nothing does."""
