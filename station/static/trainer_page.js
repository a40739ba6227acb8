// The pages of the trainer's desk stand in one frame: the builder at its address, all else at the desk's own.

await import(location.pathname === "/" ? "./trainer.js" : "./builder.js");
