"""Two templates, small and quick, that deploy and destroy take for Shoal's own."""

from __future__ import annotations

from pathlib import Path

SCHEDULER = """\
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31

Parameters:
  TimeoutJob:
    Type: Number
    Default: 300
  Colour:
    Type: String
    Default: red

Resources:
  Jobs:
    Type: AWS::SQS::Queue
    Properties:
      QueueName: !Sub "${AWS::StackName}-job-queue"
      VisibilityTimeout: !Ref TimeoutJob
      Tags:
        - Key: colour
          Value: !Ref Colour
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: !Sub "${AWS::StackName}-job-monitoring"
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: job_id, AttributeType: S}]
      KeySchema: [{AttributeName: job_id, KeyType: HASH}]
  Logs:
    Type: AWS::S3::Bucket
    Properties:
      BucketName: !Sub "${AWS::StackName}-${AWS::AccountId}-logs"
      VersioningConfiguration: {Status: Enabled}
  Function:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: ../build/functions
      Handler: shoal.settings.load
      Runtime: python3.13
      Architectures: [arm64]
  Machine:
    Type: AWS::Serverless::StateMachine
    Properties:
      Name: !Sub "${AWS::StackName}-scheduler"
      DefinitionUri: machine.asl.json

Outputs:
  TagKey:
    Value: !Ref AWS::StackName
"""

MACHINE = """\
{"QueryLanguage": "JSONata", "StartAt": "Sleep",
 "States": {"Sleep": {"Type": "Wait", "Seconds": 600, "End": true}}}
"""

FLEET = """\
AWSTemplateFormatVersion: "2010-09-09"

Parameters:
  TagKey:
    Type: String
  TriggerSuffix:
    Type: String
    Default: .sh
  MaxInstancesAllowed:
    Type: Number
    Default: 4

Resources:
  Jobs:
    Type: AWS::SQS::Queue
    Properties:
      QueueName: !Sub "${AWS::StackName}-job-queue"
  Drop:
    Type: AWS::S3::Bucket
    Properties:
      BucketName: !Sub "${AWS::StackName}-${AWS::AccountId}-drop-job-files"
      VersioningConfiguration: {Status: Enabled}
  Launch:
    Type: AWS::EC2::LaunchTemplate
    Properties:
      LaunchTemplateName: !Sub "${AWS::StackName}-launch-template"
      LaunchTemplateData:
        ImageId: ami-12345678
        InstanceType: t4g.small
  Group:
    Type: AWS::AutoScaling::AutoScalingGroup
    Properties:
      AutoScalingGroupName: !Sub "${AWS::StackName}-autoscaling-group"
      MinSize: "0"
      MaxSize: !Ref MaxInstancesAllowed
      AvailabilityZones: !GetAZs ""
      LaunchTemplate:
        LaunchTemplateId: !Ref Launch
        Version: !GetAtt Launch.LatestVersionNumber

Outputs:
  S3Bucket:
    Value: !Ref Drop
"""

SLOW = """
  Handle:
    Type: AWS::CloudFormation::WaitConditionHandle
  Slow:
    Type: AWS::CloudFormation::WaitCondition
    Properties:
      Handle: !Ref Handle
      Timeout: "{seconds}"
      Count: 1
"""
"""A resource that takes its time, and then fails."""


def write_templates(folder: Path) -> Path:
    """Write both into a folder."""
    folder.mkdir()
    (folder / "scheduler.template.yaml").write_text(SCHEDULER)
    (folder / "machine.asl.json").write_text(MACHINE)
    (folder / "fleet.template.yaml").write_text(FLEET)
    return folder


def make_slow(folder: Path, seconds: int) -> None:
    """Let the scheduler's stack take a while to be made, and then fail."""
    slow = SCHEDULER.replace("Resources:\n", f"Resources:{SLOW.format(seconds=seconds)}", 1)
    (folder / "scheduler.template.yaml").write_text(slow)
