"""Checks of data: are they accurate, representative and clean?"""
