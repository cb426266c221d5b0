"""Adaptation methods: what changes when a frozen backbone learns a task. One file each."""
