"""The messages that cross a process boundary, the units they speak in, and the Clock that everybody is handed."""
