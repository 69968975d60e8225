"""The blackbox repository: folders of recorded trainings in four layouts, on this machine or on the hub.

`repository` is the face; `folders` finds a name, `hub` fetches one, `layouts` says what a folder is by its files. Each
layout has a file: `shared_table`, `task_tables`, `task_frames`, `yahpo`. What the first three have in common is in
`files` (reading), `metadata`, `domains`, `columns`, `times` and `assembly`; `writing` is the way back.
"""
