#!/bin/sh
cp jobId_0.input jobId_0.output
