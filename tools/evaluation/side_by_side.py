"""What each protocol makes of a metric on the same images: one table per metric, and why its columns differ."""
from pathlib import Path
from typing import List, NamedTuple

import pandas as pd

from tools.base.files import write_text
from tools.base.tables import markdown_table, markdown_text, terminal_table, write_csv
from tools.evaluation.protocols import DEFAULT_PROTOCOL, PROTOCOLS, base_name, definitions, how_it_differs, label
from tools.evaluation.report import MISSING, describe, left_out, write_with_origin


class MetricTable(NamedTuple):
    """The means of one metric."""
    metric: str
    means: pd.DataFrame  # a row per method, a column per protocol that has the metric
    note: str            # which protocols differ from ours, and why


def metric_tables(scores) -> List[MetricTable]:
    """A table for each metric of scores of the protocol `all`."""
    means = scores.table.groupby('method', sort=False).mean()
    tables = []
    for name in dict.fromkeys(map(base_name, scores.metrics)):
        shared = {metric: protocols for metric, protocols in definitions().items()
                  if metric.name == name and label(metric, protocols) in means}
        columns = {protocol: means[label(metric, protocols)] for metric, protocols in shared.items()
                   for protocol in protocols}
        notes = [f'{", ".join(protocols)}: {how_it_differs(metric)}' for metric, protocols in shared.items()
                 if DEFAULT_PROTOCOL not in protocols]
        tables.append(MetricTable(name, pd.DataFrame({protocol: columns[protocol]
                                                      for protocol in PROTOCOLS if protocol in columns}),
                                  ' '.join(notes) or 'The same in every protocol that has it.'))
    return tables


def terminal_tables(scores):
    """All tables as aligned text."""
    texts = [f'{terminal_table(_texts(table))}\n{table.note}' for table in metric_tables(scores)]
    return '\n\n'.join([*texts, describe(scores, numbers='mean')])


def write_metric_tables(scores, folder):
    """Write scores.csv (per image), protocols.csv (a row per metric and method) and protocols.md."""
    folder, tables = Path(folder), metric_tables(scores)
    write_with_origin(folder / 'scores.csv', scores.table, scores)
    rows = pd.concat({table.metric: table.means for table in tables}, names=['metric'])
    notes = {table.metric: table.note for table in tables}
    rows = rows[[protocol for protocol in PROTOCOLS if protocol in rows]].reset_index()
    write_csv(folder / 'protocols.csv', rows.assign(note=rows['metric'].map(notes)))
    rows = {table.metric: _texts(table).rename(index=markdown_text).reset_index().values for table in tables}
    shown = {table.metric: markdown_table(['method', *table.means], rows[table.metric]) for table in tables}
    text = ''.join(f'## {table.metric}\n\n{shown[table.metric]}\n{table.note}\n\n' for table in tables)
    write_text(folder / 'protocols.md', f'{text}{describe(scores, numbers="mean").capitalize()}.\n{left_out(scores)}')


def _texts(table):
    texts = table.means.apply(lambda means: means.map('{:#.5g}'.format))
    return texts.replace('nan', MISSING).rename_axis(table.metric)
