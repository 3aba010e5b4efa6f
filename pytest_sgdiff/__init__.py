"""pytest-sgdiff: tells whether SGLang Diffusion got slower.

    cases/*.yaml ─casefile→ Case ─engines→ Command ─gpus, launcher→ Launch ─engines→ Reading ─┐
                                                       │ watch: disturbed?                     ├─judge→ CaseResult
    baselines/<machine>/<case>.json ─baselines→ Baseline ──────────────────────────────────────┘      │
                                                                                    reports, exit code ←┘

Layers, top to bottom; each imports downwards only (import-linter checks it):

    plugin, cli                                   what pytest and the shell call
    session, items, fixtures, schedule            the only modules, with plugin and hookspecs, that know pytest
    settings, hookspecs                           options as one frozen object; extension points
    runner                                        the pipeline on one screen: case -> launches -> verdicts
    casefile, baselines, recordings, launcher,    files, processes and GPUs: the only modules that touch the machine
    gpus, machine, watch
    wire                                          data <-> plain builtins, checked inbound
    judge, advice                                 pure: measurement + baseline -> verdicts; what cannot work
    engines, rules, reports, metrics              pure: one folder per interface with several implementations
    data, errors                                  the nouns; the error tree
"""

__version__ = "0.1.0"
