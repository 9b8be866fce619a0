"""The examples: what their READMEs say is done, and what comes out makes sense."""
