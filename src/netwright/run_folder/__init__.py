"""A run on disk: text, and tensors without code. `weights.safetensors` is written last and makes a run whole."""

from netwright.run_folder.loading import load as load
from netwright.run_folder.lock import locked as locked
from netwright.run_folder.places import named_after as named_after
from netwright.run_folder.places import next_locked as next_locked
from netwright.run_folder.records import AUGMENTED as AUGMENTED
from netwright.run_folder.records import FORMAT as FORMAT
from netwright.run_folder.records import RESULTS as RESULTS
from netwright.run_folder.records import is_resumable as is_resumable
from netwright.run_folder.records import is_whole as is_whole
from netwright.run_folder.records import left as left
from netwright.run_folder.records import load_fixes as load_fixes
from netwright.run_folder.records import load_split as load_split
from netwright.run_folder.records import load_watched as load_watched
from netwright.run_folder.records import origin as origin
from netwright.run_folder.resume import is_unfinished as is_unfinished
from netwright.run_folder.resume import require_same as require_same
from netwright.run_folder.resume import require_same_data as require_same_data
from netwright.run_folder.resume import require_same_rows as require_same_rows
from netwright.run_folder.resume import started_recipe as started_recipe
from netwright.run_folder.seal import done as done
from netwright.run_folder.writing import create as create
from netwright.run_folder.writing import remove_checkpoint as remove_checkpoint
from netwright.run_folder.writing import write as write
from netwright.run_folder.writing import write_from as write_from
from netwright.run_folder.writing import write_result as write_result
from netwright.run_folder.writing import write_results as write_results
