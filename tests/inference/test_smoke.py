"""The three commands in a row, on a competition so small that nothing but their working shows."""


def test_train_verify_and_check(tiny_recipe, tmp_path, command):
    done = command("train.py", str(tiny_recipe), "stages.classify.epochs=1")
    assert done.returncode == 0, done.stderr
    run = tmp_path / "runs" / "tiny"
    done = command("verify.py", str(run))
    assert done.returncode == 0, done.stderr
    assert (run / "report.html").is_file()
    done = command("submit.py", str(run), "--dry-run")
    assert done.returncode == 0, done.stderr
