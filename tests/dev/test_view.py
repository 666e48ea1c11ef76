"""What is shown of a snapshot, in a table and in lines."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO

from rich.console import Console

from keda_py.dev.line import changes
from keda_py.dev.snapshot import Activity, Entry, Measure, Replicas, ScaledSeen, Snapshot, TriggerSeen
from keda_py.dev.view import View

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
CRON = TriggerSeen("cron", Activity.INACTIVE, (Measure(0.0, 1.0, per="replica"),))
QUEUE = TriggerSeen("rabbitmq orders", Activity.ACTIVE, (Measure(23.0, 5.0, per="replica"),))
ORDERS = ScaledSeen(
    kind="ScaledObject",
    namespace="shop",
    name="orders",
    target="Deployment/worker",
    replicas=Replicas(ready=3, wanted=5, minimum=0, maximum=8),
    triggers=(CRON, QUEUE),
    state="triggers are active",
    hpa="wants 5",
)
WOKE = Entry(1, AT, "keda-py", "Deployment/worker 0 -> 1: triggers are active")


def shown(snapshot: Snapshot, *, width: int = 130, height: int = 30) -> str:
    console = Console(width=width, height=height, record=True, file=StringIO())
    console.print(View(snapshot, "export KUBECONFIG=/tmp/k"))
    return console.export_text()


def test_an_object_with_its_triggers_replicas_and_hpa() -> None:
    text = shown(Snapshot(AT, (ORDERS,), (WOKE,)))
    for part in (
        "for trying and testing, not for production",
        "export KUBECONFIG=/tmp/k",
        "shop/orders",
        "Deployment/worker",
        "███░░ ",
        "3/5 ready",
        "min 0, max 8",
        "○ cron  0 / 1 per replica",
        "● rabbitmq orders  23 / 5 per replica",
        "triggers are active",
        "HPA wants 5",
        "12:00:00 keda-py  Deployment/worker 0 -> 1: triggers are active",
    ):
        assert part in text, text


def test_a_failure_is_told_once_where_it_is() -> None:
    why = "http://queue: connection refused"
    failing = TriggerSeen("rabbitmq", Activity.FAILING, (), why)
    problem = f"triggers[0] (rabbitmq): {why} (replicas are held as they are)"
    state = "triggers cannot be read, replicas are held as they are"
    seen = replace(ORDERS, triggers=(failing,), problem=problem, state=state)
    text = " ".join(shown(Snapshot(AT, (seen,)), width=240).split())
    assert f"✗ rabbitmq {why}" in text
    assert text.count("connection refused") == 1
    assert state in text
    (line,) = changes(Snapshot(AT), Snapshot(AT, (seen,)))
    assert line == f"shop/orders: #####  3/5 ready; rabbitmq failing; {problem}"


def test_an_object_that_makes_no_sense_says_what_is_wrong() -> None:
    seen = replace(ORDERS, triggers=(), problem="spec.triggers: nothing", replicas=Replicas(None, None, 0, 0))
    text = shown(Snapshot(AT, (seen,)))
    assert "no target" in text
    assert "spec.triggers: nothing" in text


def test_the_rest_of_a_cooldown() -> None:
    seen = replace(ORDERS, cooldown=timedelta(seconds=11.2), state="triggers are not active, cooling down")
    assert "12 s left" in shown(Snapshot(AT, (seen,)))
    later = replace(seen, cooldown=timedelta(seconds=3))
    assert list(changes(Snapshot(AT, (seen,)), Snapshot(AT, (later,)))) == [], "time alone is no change"


def test_the_title_takes_one_row_of_a_narrow_window() -> None:
    _, second, *_ = shown(Snapshot(AT, (ORDERS,), (WOKE,)), width=34, height=8).splitlines()
    assert second.startswith("export KUBECONFIG=/tmp/k")


def test_nothing_yet() -> None:
    assert "There is no ScaledObject or ScaledJob yet" in shown(Snapshot(AT))


def test_a_scaled_job_with_the_jobs_at_work() -> None:
    mails = replace(ORDERS, kind="ScaledJob", name="mails", target="Jobs", replicas=Replicas(2, 3, 0, 8), hpa="")
    text = shown(Snapshot(AT, (mails,)))
    for part in ("shop/mails", " Jobs ", "██░ ", "2 running, 1 pending", "min 0, max 8", "23 / 5 per replica"):
        assert part in text, text
    (line,) = changes(Snapshot(AT, (ORDERS,)), Snapshot(AT, (ORDERS, mails)))
    assert line.startswith("shop/mails: ###  2 running, 1 pending; cron 0 / 1 per replica")
    namesake = replace(ORDERS, name="mails")
    assert list(changes(Snapshot(AT, (mails, namesake)), Snapshot(AT, (namesake,)))) == ["shop/mails: gone"]


def test_it_fits_the_window_with_the_newest_last() -> None:
    entries = tuple(Entry(number, AT, "HPA", f"entry {number}.") for number in range(1, 100))
    text = shown(Snapshot(AT, (ORDERS,), entries), height=24)
    assert len(text.rstrip("\n").splitlines()) <= 24
    assert "entry 99." in text
    assert "entry 1." not in text
    assert "entry 99." in shown(Snapshot(AT, (ORDERS,) * 9, entries), height=10), "what happened is always shown"


WHY = "cannot connect to amqp://127.0.0.1:5999/: [Errno 111] Connect call failed; is RabbitMQ running there?"
FAILING = replace(
    ORDERS,
    name="mailer",
    triggers=(TriggerSeen("rabbitmq", Activity.FAILING, (), WHY),),
    problem=f"triggers[0] (rabbitmq): {WHY}",
    state="triggers cannot be read",
)
HAPPENED = tuple(Entry(number, AT, "keda-py", f"entry {number}. " + 9 * "long " + "reason") for number in range(99))


def well(count: int) -> tuple[ScaledSeen, ...]:
    return tuple(replace(ORDERS, name=f"well-{number}") for number in range(count))


def words_of(text: str) -> str:
    """Return what stands in the table and below it, whatever is folded."""
    return " ".join(text.replace("│", " ").split())


def rows_that_tell(text: str) -> int:
    lines = text.rstrip("\n").splitlines()
    return len(lines) - next(number for number, line in enumerate(lines) if line.startswith("12:00:00"))


def test_room_is_short_and_who_is_in_trouble_comes_first_and_whole() -> None:
    text = shown(Snapshot(AT, (*well(3), FAILING), HAPPENED), width=120, height=30)
    assert rows_that_tell(text) >= 10
    assert text.index("shop/mailer") < text.index("shop/well-0") < text.index("shop/well-2")
    assert text.count("Connect call failed") == 1
    assert text.count("min 0, max 8") == 2, "as many whole as fit"
    assert "more" not in text


def test_a_small_window_tells_why_below_the_table() -> None:
    text = shown(Snapshot(AT, (*well(3), FAILING), HAPPENED), width=80, height=24)
    assert len(text.rstrip("\n").splitlines()) <= 24
    assert rows_that_tell(text) >= 8
    assert f"shop/mailer: triggers[0] (rabbitmq): {WHY}" in words_of(text)
    assert all(f"shop/well-{number}" in text for number in range(3))


def test_what_is_left_out_is_counted() -> None:
    text = shown(Snapshot(AT, (*well(40), FAILING), HAPPENED), height=30)
    assert len(text.rstrip("\n").splitlines()) <= 30
    assert rows_that_tell(text) >= 9
    there = text.count("shop/well-")
    assert there > 3
    assert f"... and {40 - there} more, all of them well: kubectl get scaledobjects,scaledjobs -A" in text
    text = shown(Snapshot(AT, (*well(2), *(FAILING,) * 40), HAPPENED), height=30)
    assert f"{40 - text.count('✗')} of them in trouble" in text
    text = shown(Snapshot(AT, (*well(8), FAILING), HAPPENED), height=12)
    assert "... 9 objects, 1 of them in trouble" in text


def test_what_happened_is_told_to_its_end() -> None:
    text = shown(Snapshot(AT, (ORDERS,), HAPPENED), width=50, height=24)
    assert text.rstrip().endswith("reason")
    entries = text.count("entry ")
    assert entries == text.count("reason") >= 2, "none in part"
    assert "entry 98." in text


def test_many_replicas_keep_to_their_column() -> None:
    many = replace(ORDERS, replicas=Replicas(ready=500, wanted=1000, minimum=0, maximum=1000))
    text = shown(Snapshot(AT, (many,)))
    assert "███████░░░░░░░ " in text
    assert "500/1000 ready" in text


def test_lines_tell_what_is_new() -> None:
    before = Snapshot(AT, (replace(ORDERS, namespace="default"),), (WOKE,))
    more = Entry(2, AT, "HPA", "keda-hpa-orders -> 5: external metric above target")
    after = Snapshot(AT, (replace(ORDERS, namespace="default", replicas=Replicas(5, 5, 0, 8)),), (WOKE, more))
    assert list(changes(before, after)) == [
        "  HPA: keda-hpa-orders -> 5: external metric above target",
        "orders: #####  5/5 ready; cron 0 / 1 per replica, rabbitmq orders 23 / 5 per replica; triggers are active",
    ]
    assert list(changes(after, Snapshot(AT, (), (WOKE, more)))) == ["orders: gone"]


def test_units_and_values_that_are_not_there() -> None:
    cpu = TriggerSeen("cpu", Activity.UNREAD, (Measure(None, 60.0, unit="%"),))
    pending = TriggerSeen("kafka", Activity.PENDING, (Measure(None, 10.0, per="replica"),))
    (line,) = changes(Snapshot(AT), Snapshot(AT, (replace(ORDERS, triggers=(cpu, pending)),)))
    assert "; cpu ? / 60% (for the HPA only), kafka being read; " in line
