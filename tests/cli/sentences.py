"""What a user is told when something is wrong."""


def assert_sentence(result, code, *words):
    """One clear sentence on stderr, nothing on stdout, no traceback, the promised code."""
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    lines = result.stderr.strip().splitlines()
    assert lines[0].startswith("error: ")
    assert all(line.startswith("try: ") for line in lines[1:])
    assert len(lines) <= 2
    assert "unexpected" not in result.stderr
    for word in words:
        assert str(word) in result.stderr
