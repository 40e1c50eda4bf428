"""Teaching a network motion: data, training, evaluation. torch and OpenCV are imported when a function needs them.

``store`` holds decoded clips · ``data`` finds and reads a user's clips · ``sampling`` picks frames · ``augment``
varies them · ``labels`` says what a flip does to a class · ``network`` builds what is trained · ``batches`` prepares
what it sees · ``loss`` says what is wrong with its answers · ``loop`` trains · ``checkpoint`` keeps it · ``measure``
scores it. Everything here may be used by scripts; the verbs `train`, `eval` and `synth` are thin.
"""
