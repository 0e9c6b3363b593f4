"""Checks of data: are they accurate, representative, clean?"""
