"""The referee: metrics, protocols, tables, figures and pages. No Jittor.

May use: base, runtime, data, scenes.
"""
