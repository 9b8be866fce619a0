copy C:\ProgramData\Amazon\SSM\jobId_0.input C:\ProgramData\Amazon\SSM\jobId_0.output
