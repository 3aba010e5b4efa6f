"""pytest-sgdiff: tells whether SGLang Diffusion got slower.

    cases/*.yaml ─casefile→ Case ─engines→ Command ─gpus, launcher→ Launch ─engines→ Reading ─┐
                                                       │ watch: disturbed?                     ├─judge→ CaseResult
    baselines/<machine>/<case>.json ─baselines→ Baseline ──────────────────────────────────────┘      │
                                                                                    reports, exit code ←┘

Layers, top to bottom; each imports downwards only (import-linter checks it, see pyproject.toml):

    plugin, cli                                   what pytest and the shell call
    starting, fixtures, measuring, session,       a run: the modules that know pytest, with hookspecs
    sender, results, status, items, casescan,
    needs, schedule, publish
    settings, options                             options as one frozen object
    runner, job, sources, commands                the pipeline on one screen: case -> launches -> verdicts
    casefile, baselines, recordings, launcher,    files, processes and GPUs: the only modules that touch the machine
    gpus, machine, watch, assets, history
    wire, jsontext, files                         data <-> plain builtins, checked inbound
    judge, series, relations, trend, advice, ...  pure: measurement + baseline -> verdicts; what cannot work
    engines, rules, reports, metrics, redact      pure: one folder per interface with several implementations
    data, errors                                  the nouns; the error tree
"""

__version__ = "0.1.0"
