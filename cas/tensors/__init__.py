"""Tensors inside of files: what their headers say, parsed by range, and arrays made of them.

Spec: specs/tensors.md
"""
