"""A campaign as one page that a reviewer can hand on: figures, evidence, who hangs together with whom, what to do."""
