"""What GET /metrics answers, read by Prometheus' own strict parsers."""
from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics


def parse(answer):
    """{name: {labels: value}} of an answer in either format; labels as a sorted tuple of pairs."""
    assert answer.status == 200, answer
    is_open = answer.headers["Content-Type"].startswith("application/openmetrics-text")
    text = answer.body.decode()
    assert text.endswith("# EOF\n") == is_open
    found = {}
    for family in (openmetrics if is_open else parser).text_string_to_metric_families(text):
        assert family.documentation and family.samples, family
        for sample in family.samples:
            labels = tuple(sorted(sample.labels.items()))
            assert labels not in found.setdefault(sample.name, {}), sample
            found[sample.name][labels] = sample.value
    return found


def value(found, name, **labels):
    return found[name].get(tuple(sorted(labels.items())), 0)


def counters(found):
    return {(name, labels): number for name, samples in found.items() for labels, number in samples.items()
            if name.endswith(("_total", "_bucket", "_count", "_sum"))}
