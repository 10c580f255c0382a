"""What every package is built from: money, ids, time, pages, errors. Imports nothing of ours."""
