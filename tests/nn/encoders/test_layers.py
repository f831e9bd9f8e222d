import torch

from segue.nn.encoders.layers import sparse_lookup


def test_rows_and_gradients_equal_those_of_indexing() -> None:
    table = torch.randn(6, 3, dtype=torch.float64)
    ids = torch.tensor([4, 1, 4]), torch.tensor([1, 5])
    weights = torch.randn(3, 3, dtype=torch.float64), torch.randn(2, 3, dtype=torch.float64)
    gradients = []
    for rows_of in (lambda table: sparse_lookup(table, *ids), lambda table: [table[one] for one in ids]):
        leaf = table.clone().requires_grad_()
        rows = rows_of(leaf)
        for part, one in zip(rows, ids, strict=True):
            assert torch.equal(part, table[one])
        sum((part * weight).sum() for part, weight in zip(rows, weights, strict=True)).backward()
        gradients.append(leaf.grad)
    assert gradients[0].is_sparse
    assert gradients[0]._indices().tolist() == [[4, 1, 4, 1, 5]]
    torch.testing.assert_close(gradients[0].to_dense(), gradients[1])
