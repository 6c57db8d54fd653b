process.stderr.write('lockwire: no command is built yet\n');
process.exitCode = 2;
