"""Long tables whose steps stand at their times."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
import torch

from vaezoo.data.files import BadData
from vaezoo.data.long import sequences
from vaezoo.data.sources.arrays import arrays
from vaezoo.use import values_from

TIMES = (0, 1, 4, 10)  # days; each id lacks one


@pytest.fixture
def save(tmp_path):
    def save(text, name="visits.csv"):
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return save


def visits(when=str, ids=range(12)) -> str:
    lines = [
        f"{i},{when(time)},{i + time / 100}" for i in ids for time in TIMES if time != TIMES[i % 4]
    ]
    return "id,time,weight\n" + "\n".join(lines) + "\n"


def date(day: int) -> str:
    return f"2024-03-{day + 1:02}"


@pytest.mark.parametrize("when", [str, date])
def test_steps_stand_at_the_times_that_any_id_has(save, when):
    data = arrays(save(visits(when)), standardise=False, times="true")
    assert data.spec.shape == (4, 1)
    # the gaps are 1, 3 and 6 days, of which the median is the unit
    assert data.spec.times == pytest.approx((0, 1 / 3, 4 / 3, 10 / 3))
    assert data.spec.has_gaps
    for row in torch.cat([data.train, data.validation, data.test])[..., 0]:
        lacking = row.isnan().nonzero().flatten().tolist()
        i = int(row.nanmean())
        assert lacking == [i % 4]
        wanted = torch.tensor([i + time / 100 for time in TIMES])
        torch.testing.assert_close(row[~row.isnan()], wanted[~row.isnan()])


def test_without_times_steps_are_in_their_order_and_keys_are_what_they_were(save):
    path = save(visits())
    data = arrays(path, standardise=False)
    assert data.spec.shape == (3, 1)
    assert not data.spec.times
    assert "times" not in data.spec.stated()
    assert "times" not in data.hashes
    assert "times" not in data.reader.table


def test_another_file_is_read_at_the_times_of_the_model(save):
    reader = arrays(save(visits()), standardise=False, times="true").reader
    few = values_from(save("id,time,weight\n1,4,9\n1,0,8\n2,10,7\n", "few.csv"), reader)
    assert few.x.shape == (2, 4, 1)
    assert few.x[0, [0, 2], 0].tolist() == [8, 9]
    assert few.x[1, 3, 0] == 7
    with pytest.raises(BadData, match="has the time 5, and the times of this model are 4 from 0"):
        values_from(save("id,time,weight\n1,5,9\n", "strange.csv"), reader)


@pytest.mark.parametrize(
    ("text", "times", "words"),
    [
        (visits(), "yes", "times=yes: .* by times=true"),
        (visits(), "1+0", "each later than the one before"),
        ("a,b\n1,2\n3,4\n5,6\n7,8\n", "true", "is for a long table"),
        (
            "id,time,a\n" + "".join(f"{i},{i + k / 7},1\n" for i in range(30) for k in range(2)),
            "true",
            "have 60 times between them and 2 each at most; round",
        ),
    ],
)
def test_times_that_cannot_be_are_refused_with_what_to_do(save, text, times, words):
    with pytest.raises(BadData, match=words):
        arrays(save(text), times=times)


def test_a_long_sequence_takes_no_memory_of_its_length_squared():
    steps = 5000
    table = pd.DataFrame({"id": "a", "time": np.arange(steps), "v": np.arange(steps) * 2.0})
    tracemalloc.start()
    raw = sequences(table, ["v"], "", "x.csv", times="true")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert raw.x[0, :, 0].tolist() == table["v"].tolist()
    assert peak < 2**25  # 5000² numbers are 200 MB
