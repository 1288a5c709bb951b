"""Worked automations, each in a folder with its data, its test and a README."""
